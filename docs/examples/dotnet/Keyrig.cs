using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;

/// <summary>
/// What 'keyrig exec' gives to the tests that it runs: security keys, a finger over them, and a
/// browser that finds them. Copy this file beside yours, once. JSON goes in and out as text.
/// </summary>
public sealed class Keyrig
{
    // What the user types where a key asks for a PIN. One that has none is given it.
    private const string Pin = "1234";

    private readonly HttpClient http = new();

    public Keyrig()
    {
        var url = Environment.GetEnvironmentVariable("KEYRIG_URL")
            ?? throw new InvalidOperationException(
                "no KEYRIG_URL: run 'keyrig exec --key a=keyrig -- dotnet test'");
        var token = Environment.GetEnvironmentVariable("KEYRIG_TOKEN");
        http.BaseAddress = new Uri(url + "/v1/");
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
    }

    /// <summary>
    /// navigator.credentials.create() in a page of an origin: options in, credential out.
    /// </summary>
    public Task<string> Create(string origin, string options) =>
        Ceremony("create", origin, options);

    /// <summary>navigator.credentials.get().</summary>
    public Task<string> Get(string origin, string options) => Ceremony("get", origin, options);

    /// <summary>Puts the finger over a key: it is touched when a page asks for that.</summary>
    public Task Finger(string key) =>
        Ask(HttpMethod.Put, "finger", new JsonObject { ["key"] = key });

    /// <summary>Takes a key out.</summary>
    public Task Unplug(string key) =>
        Ask(HttpMethod.Post, $"keys/{key}/unplug", new JsonObject());

    /// <summary>Puts it back.</summary>
    public Task Plug(string key) =>
        Ask(HttpMethod.Post, $"keys/{key}/plug", new JsonObject());

    private Task<string> Ceremony(string name, string origin, string options)
    {
        var page = new JsonObject { ["origin"] = origin, ["pin"] = Pin };
        page["options"] = JsonNode.Parse(options);
        return Ask(HttpMethod.Post, $"client/{name}", page);
    }

    private async Task<string> Ask(HttpMethod method, string path, JsonObject body)
    {
        using var request = new HttpRequestMessage(method, path);
        request.Content = Site.Json(body.ToJsonString());
        using var response = await http.SendAsync(request);
        var answer = await response.Content.ReadAsStringAsync();
        return response.IsSuccessStatusCode
            ? answer
            : throw new Refused($"{method} {path}", answer);
    }
}

/// <summary>What keyrig did not do. The message is its answer, with the cause.</summary>
public sealed class Refused : Exception
{
    public Refused(string request, string answer) : base($"{request}: {answer}") =>
        Code = (string?)JsonNode.Parse(answer)?["error"]?["code"];

    /// <summary>Stable; 'keyrig explain CODE' tells what it stands for.</summary>
    public string? Code { get; }
}

/// <summary>What is tested, asked in JSON. Any answer but a success is an error.</summary>
public sealed class Site
{
    private readonly HttpClient http;

    public Site(string url) => http = new HttpClient { BaseAddress = new Uri(url) };

    public async Task<string> Get(string path) => await Text(await http.GetAsync(path));

    public async Task<string> Post(string path, string body) =>
        await Text(await http.PostAsync(path, Json(body)));

    internal static StringContent Json(string text) =>
        new(text, Encoding.UTF8, "application/json");

    private static async Task<string> Text(HttpResponseMessage response)
    {
        var answer = await response.Content.ReadAsStringAsync();
        return response.IsSuccessStatusCode
            ? answer
            : throw new HttpRequestException($"{(int)response.StatusCode}: {answer}");
    }
}

// A login by security keys, with xUnit and what .NET has.
// KEYRIG_URL and KEYRIG_TOKEN are those of 'keyrig exec', SITE is the site under test.
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Xunit;

public class LoginTest
{
    private const string Origin = "https://login.example.com";

    private static readonly string Site = Environment.GetEnvironmentVariable("SITE")!;
    private static readonly HttpClient SiteClient = new();
    private static readonly HttpClient Keyrig = new()
    {
        BaseAddress = new Uri(Environment.GetEnvironmentVariable("KEYRIG_URL") + "/v1/"),
        DefaultRequestHeaders =
        {
            Authorization = new AuthenticationHeaderValue("Bearer", Environment.GetEnvironmentVariable("KEYRIG_TOKEN")),
        },
    };

    // What the page at an origin gets from its browser, for the site's options.
    private static async Task<HttpResponseMessage> Navigator(string ceremony, string path, string origin)
    {
        var options = JsonNode.Parse(await SiteClient.GetStringAsync(Site + path));
        return await Keyrig.PostAsJsonAsync($"client/{ceremony}", new JsonObject { ["origin"] = origin, ["options"] = options });
    }

    private static async Task Passes(string ceremony, string path)
    {
        var credential = await Navigator(ceremony, path, Origin);
        Assert.True(credential.IsSuccessStatusCode, await credential.Content.ReadAsStringAsync());
        var body = JsonNode.Parse(await credential.Content.ReadAsStringAsync());
        var verdict = await SiteClient.PostAsJsonAsync(Site + path, body);
        Assert.True(verdict.IsSuccessStatusCode, await verdict.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task ASecondKeyReplacesALostOne()
    {
        foreach (var key in new[] { "a", "b" })
        {
            (await Keyrig.PutAsJsonAsync("finger", new { key })).EnsureSuccessStatusCode();
            await Passes("create", "/register");
            await Passes("get", "/login");
        }
        (await Keyrig.PostAsync("keys/a/unplug", null)).EnsureSuccessStatusCode();
        await Passes("get", "/login");
    }

    [Fact]
    public async Task APageFromElsewhereGetsNothing()
    {
        var refusal = await Navigator("get", "/login", "https://login.example.net");
        Assert.Equal(HttpStatusCode.UnprocessableEntity, refusal.StatusCode);
        var error = JsonNode.Parse(await refusal.Content.ReadAsStringAsync())!["error"]!;
        Assert.Equal("rp-id-foreign", (string?)error["code"]);
    }
}

using Xunit;

public class LoginTest
{
    private const string Origin = "https://login.example.com";
    private readonly Keyrig keyrig = new();
    private readonly Site site = new(Environment.GetEnvironmentVariable("SITE")!);

    [Fact]
    public async Task ASecondKeyReplacesALostOne()
    {
        foreach (var key in new[] { "a", "b" })
        {
            await keyrig.Finger(key);
            var options = await site.Get("/register");
            await site.Post("/register", await keyrig.Create(Origin, options));
        }
        await keyrig.Unplug("a");
        await site.Post("/login", await keyrig.Get(Origin, await site.Get("/login")));
    }
}

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.regex.Pattern;

/**
 * What 'keyrig exec' gives to the tests that it runs: security keys, a finger over them, and a
 * browser that finds them. Copy this file beside yours, once. JSON goes in and out as text.
 */
final class Keyrig {
  /** What the user types where a key asks for a PIN. One that has none is given it. */
  private static final String PIN = "1234";

  private final String url = System.getenv("KEYRIG_URL");
  private final String token = System.getenv("KEYRIG_TOKEN");

  /** What keyrig did not do, and why: its answer as it came. */
  static final class Refused extends RuntimeException {
    /** Stable; 'keyrig explain CODE' tells what it stands for. */
    final String code;

    private Refused(String request, String answer) {
      super(request + ": " + answer);
      var found = Pattern.compile("\"code\":\"([^\"]+)\"").matcher(answer);
      code = found.find() ? found.group(1) : "";
    }
  }

  Keyrig() {
    if (url == null) {
      throw new IllegalStateException("no KEYRIG_URL: run 'keyrig exec --key a=keyrig -- COMMAND'");
    }
  }

  /** navigator.credentials.create() in a page of an origin: options in, credential out. */
  String create(String origin, String options) {
    return ask("POST", "client/create", page(origin, options));
  }

  /** navigator.credentials.get(). */
  String get(String origin, String options) {
    return ask("POST", "client/get", page(origin, options));
  }

  /** Puts the finger over a key: it is touched when a page asks for that. */
  void finger(String key) {
    ask("PUT", "finger", "{\"key\":\"" + key + "\"}");
  }

  /** Takes a key out. */
  void unplug(String key) {
    ask("POST", "keys/" + key + "/unplug", "{}");
  }

  /** Puts it back. */
  void plug(String key) {
    ask("POST", "keys/" + key + "/plug", "{}");
  }

  private static String page(String origin, String options) {
    var user = "{\"origin\":\"" + origin + "\",\"pin\":\"" + PIN + "\",";
    return user + "\"options\":" + options + "}";
  }

  private String ask(String method, String path, String body) {
    var request = HttpRequest.newBuilder(URI.create(url + "/v1/" + path));
    request.header("Authorization", "Bearer " + token);
    var answer = Site.send(request, method, body);
    if (answer.statusCode() != 200) {
      throw new Refused(method + " " + path, answer.body());
    }
    return answer.body();
  }

  /** What is tested, asked in JSON. Any answer but a success is an error. */
  static final class Site {
    private static final HttpClient HTTP = HttpClient.newHttpClient();

    private final String url;

    Site(String url) {
      this.url = url;
    }

    String get(String path) {
      return ask("GET", path, "");
    }

    String post(String path, String body) {
      return ask("POST", path, body);
    }

    private String ask(String method, String path, String body) {
      var answer = send(HttpRequest.newBuilder(URI.create(url + path)), method, body);
      if (answer.statusCode() >= 300) {
        throw new AssertionError(method + " " + path + ": " + answer + ": " + answer.body());
      }
      return answer.body();
    }

    static HttpResponse<String> send(HttpRequest.Builder request, String method, String body) {
      request.header("Content-Type", "application/json");
      request.method(method, BodyPublishers.ofString(body));
      try {
        return HTTP.send(request.build(), BodyHandlers.ofString());
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      } catch (InterruptedException error) {
        Thread.currentThread().interrupt();
        throw new IllegalStateException(error);
      }
    }
  }
}

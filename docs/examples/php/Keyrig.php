<?php

declare(strict_types=1);

/**
 * What 'keyrig exec' gives to the tests that it runs: security keys, a finger over them, and a
 * browser that finds them. Copy this file beside yours, once. JSON goes in and out as text.
 */
final class Keyrig
{
    /** What the user types where a key asks for a PIN. One that has none is given it. */
    private const PIN = '1234';

    /** navigator.credentials.create() in a page of an origin: options in, credential out. */
    public function create(string $origin, string $options): string
    {
        return $this->ceremony('create', $origin, $options);
    }

    /** navigator.credentials.get(). */
    public function get(string $origin, string $options): string
    {
        return $this->ceremony('get', $origin, $options);
    }

    /** Puts the finger over a key: it is touched when a page asks for that. */
    public function finger(string $key): void
    {
        $this->ask('PUT', 'finger', ['key' => $key]);
    }

    /** Takes a key out. */
    public function unplug(string $key): void
    {
        $this->ask('POST', "keys/$key/unplug");
    }

    /** Puts it back. */
    public function plug(string $key): void
    {
        $this->ask('POST', "keys/$key/plug");
    }

    private function ceremony(string $name, string $origin, string $options): string
    {
        // As objects: of arrays, an empty one would become a list.
        $options = json_decode($options, false, 512, JSON_THROW_ON_ERROR);
        $page = ['origin' => $origin, 'pin' => self::PIN, 'options' => $options];
        return $this->ask('POST', "client/$name", $page);
    }

    private function ask(string $method, string $path, array $body = []): string
    {
        $url = getenv('KEYRIG_URL');
        if ($url === false) {
            throw new LogicException("no KEYRIG_URL: run 'keyrig exec --key a=keyrig -- phpunit'");
        }
        $authorization = 'Authorization: Bearer ' . getenv('KEYRIG_TOKEN');
        $json = json_encode((object) $body, JSON_THROW_ON_ERROR);
        [$status, $answer] = Site::send($method, "$url/v1/$path", $json, $authorization);
        return $status === 200 ? $answer : throw new Refused("$method $path", $answer);
    }
}

/** What keyrig did not do, and why. */
final class Refused extends RuntimeException
{
    /** Of them the code is stable: 'keyrig explain CODE' tells what it stands for. */
    public array $error;

    public function __construct(string $request, string $answer)
    {
        $this->error = json_decode($answer, true)['error'] ?? ['code' => $answer, 'message' => ''];
        ['code' => $code, 'message' => $message] = $this->error;
        $cause = $this->error['reason'] ?? $message;
        $who = isset($this->error['name'])
            ? "{$this->error['name']} by the {$this->error['refused_by']}: " : '';
        parent::__construct("$request: $who$cause ($code)");
    }
}

/** What is tested, asked in JSON. Any answer but a success is an error. */
final class Site
{
    public function __construct(private string $url)
    {
    }

    public function get(string $path): string
    {
        return $this->ask('GET', $path);
    }

    public function post(string $path, string $body): string
    {
        return $this->ask('POST', $path, $body);
    }

    private function ask(string $method, string $path, string $body = ''): string
    {
        [$status, $answer] = self::send($method, $this->url . $path, $body);
        if ($status >= 300) {
            throw new RuntimeException("$method $path: $status: $answer");
        }
        return $answer;
    }

    /** @return array{int, string} the status and the body */
    public static function send(string $method, string $url, string $body, string ...$head): array
    {
        $head[] = 'Content-Type: application/json';
        $http = ['method' => $method, 'header' => $head, 'content' => $body];
        $context = stream_context_create(['http' => $http + ['ignore_errors' => true]]);
        $answer = file_get_contents($url, false, $context);
        if ($answer === false) {
            throw new RuntimeException("$method $url was not answered");
        }
        return [(int) explode(' ', $http_response_header[0])[1], $answer];
    }
}

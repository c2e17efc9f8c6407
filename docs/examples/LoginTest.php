<?php
// php LoginTest.php: a login by security keys, with PHP alone. KEYRIG_URL and KEYRIG_TOKEN are those of
// 'keyrig exec', SITE is the site under test. In PHPUnit each of the two functions at the end is a test.
declare(strict_types=1);

const ORIGIN = 'https://login.example.com';

/** @return array{int, string} the status and the body */
function send(string $method, string $url, string $body = '', string ...$head): array
{
    $head[] = 'Content-Type: application/json';
    $http = ['method' => $method, 'header' => $head, 'content' => $body, 'ignore_errors' => true];
    $answer = file_get_contents($url, false, stream_context_create(['http' => $http]));
    if ($answer === false) {
        throw new RuntimeException("$method $url was not answered");
    }
    return [(int) explode(' ', $http_response_header[0])[1], $answer];
}

function keyrig(string $method, string $path, array $body = []): array
{
    $json = json_encode((object) $body, JSON_THROW_ON_ERROR);
    return send($method, getenv('KEYRIG_URL') . "/v1/$path", $json, 'Authorization: Bearer ' . getenv('KEYRIG_TOKEN'));
}

/** What the page at an origin gets from its browser, for the site's options. */
function navigator(string $ceremony, string $path, string $origin): array
{
    [, $options] = send('GET', getenv('SITE') . $path);
    // Decoded as objects: an empty one stays one.
    $options = json_decode($options, false, 512, JSON_THROW_ON_ERROR);
    return keyrig('POST', "client/$ceremony", ['origin' => $origin, 'options' => $options]);
}

function expect(bool $fact, string $otherwise): void
{
    if (!$fact) {
        throw new RuntimeException($otherwise);
    }
}

function passes(string $ceremony, string $path): void
{
    [$status, $credential] = navigator($ceremony, $path, ORIGIN);
    expect($status === 200, $credential);
    [$status, $verdict] = send('POST', getenv('SITE') . $path, $credential);
    expect($status === 200, $verdict);
}

function testASecondKeyReplacesALostOne(): void
{
    foreach (['a', 'b'] as $key) {
        keyrig('PUT', 'finger', ['key' => $key]);
        passes('create', '/register');
        passes('get', '/login');
    }
    [$status, $error] = keyrig('POST', 'keys/a/unplug');
    expect($status === 200, $error);
    passes('get', '/login');
}

function testAPageFromElsewhereGetsNothing(): void
{
    [$status, $refusal] = navigator('get', '/login', 'https://login.example.net');
    $error = json_decode($refusal, true, 512, JSON_THROW_ON_ERROR)['error'];
    expect($status === 422 && $error['code'] === 'rp-id-foreign' && $error['name'] === 'SecurityError', $refusal);
}

testASecondKeyReplacesALostOne();
testAPageFromElsewhereGetsNothing();
echo "all passed\n";

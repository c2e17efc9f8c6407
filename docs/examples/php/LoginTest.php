<?php

use PHPUnit\Framework\TestCase;

final class LoginTest extends TestCase
{
    public function testASecondKeyReplacesALostOne(): void
    {
        [$keyrig, $site] = [new Keyrig(), new Site(getenv('SITE'))];
        $page = 'https://login.example.com';
        foreach (['a', 'b'] as $key) {
            $keyrig->finger($key);
            $site->post('/register', $keyrig->create($page, $site->get('/register')));
        }
        $keyrig->unplug('a');
        $this->assertJson($site->post('/login', $keyrig->get($page, $site->get('/login'))));
    }

    public function testAPageFromElsewhereGetsNothing(): void
    {
        $options = (new Site(getenv('SITE')))->get('/login');
        $this->expectExceptionMessage('rp-id-foreign');
        (new Keyrig())->get('https://login.example.net', $options);
    }
}

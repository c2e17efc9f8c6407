import os
import shutil

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.virtual_authenticator import VirtualAuthenticatorOptions

SITE, DRIVER = os.environ["SITE"], shutil.which("keyrig-chromedriver")


def test_a_second_key_replaces_a_lost_one_and_a_page_from_elsewhere_gets_nothing():
    options = webdriver.ChromeOptions()
    options.add_argument("--headless=new")
    with webdriver.Chrome(options, webdriver.ChromeService(DRIVER)) as driver:
        driver.get(SITE)
        driver.add_virtual_authenticator(VirtualAuthenticatorOptions())
        assert driver.execute_script("return register()") == "registered"
        driver.remove_virtual_authenticator()  # it is lost
        driver.add_virtual_authenticator(VirtualAuthenticatorOptions())
        assert driver.execute_script("return register()") == "registered"
        assert driver.execute_script("return logIn()") == "logged in"
        driver.get(SITE.replace("localhost", "127.0.0.1"))
        with pytest.raises(WebDriverException, match=r"SecurityError|invalid domain"):
            driver.execute_script("return register()")

from locust import HttpUser, constant, task
from locust_keyrig import Key

ORIGIN = "https://login.example.com"


class Employee(HttpUser):
    wait_time = constant(0)

    def on_start(self):
        self.key = Key(self, "yubikey-5.7")
        options = self.client.get("/register", params={"user": self.key.name}, name="/register")
        self.client.post("/register", json=self.key.create(ORIGIN, options.text))

    @task
    def log_in(self):
        options = self.client.get("/login", params={"user": self.key.name}, name="/login")
        self.client.post("/login", json=self.key.get(ORIGIN, options.text))

    def on_stop(self):
        self.key.remove()

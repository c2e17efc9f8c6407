"""What schemathesis is told of the service: nobody touches its keys, and it waits for a touch as long as it is told."""

import schemathesis

WAITING = ("/touch", "/deny", "/wait", "/events", "/timeline")
LONGEST_MS = 86_400_000
SHORT_MS = 5
# authenticatorReset and authenticatorSelection wait for a touch, whatever follows (CTAP 2.3, 6.6 and 6.9).
ASKS_FOR_TOUCH = ("07", "0b")


@schemathesis.hook
def before_call(_, case, *__):
    """What is no time that may be waited stays what it is, and is to be refused."""
    members = case.query if case.method == "GET" else case.body
    if case.path.endswith(WAITING) and isinstance(members, dict):
        timeout = members.get("timeout_ms", 30_000)
        if isinstance(timeout, int | float) and SHORT_MS < timeout <= LONGEST_MS:
            members["timeout_ms"] = SHORT_MS
    message = members.get("message") if isinstance(members, dict) else None
    if isinstance(message, str) and message[:2].lower() in ASKS_FOR_TOUCH:
        members["message"] = "04" + message[2:]

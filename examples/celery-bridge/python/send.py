"""A Celery program that calls a task of Umbel, and is told why when it cannot run."""

from billing import app

sent = app.send_task("mail.send", kwargs={"to": "ada@example.org", "subject": "Invoice"}, queue="umbel")
print(sent.get(timeout=30))

for to in ("nobody", "ada@example.invalid"):
    try:
        app.send_task("mail.send", kwargs={"to": to, "subject": "Invoice"}, queue="umbel").get(timeout=30)
    except Exception as error:
        print(type(error).__name__, "-", str(error).splitlines()[0])

"""Jobs of the worker that holds the key store."""

from procrastinate.contrib.django import app

from broker.keys.store import KeyStore


@app.task(name="broker.keys.tasks.create_key", queue="keys")
def create_key(purpose: str, ref: str) -> None:
    """Make the key of `ref` ("zone:3", "convention:12"); nothing happens when it is already there."""
    KeyStore().create(purpose, ref)

"""What stands in front of an API in the world: nginx, HAProxy, and the forward proxies squid and tinyproxy.

Each takes lines of its own configuration as a test writes them, so that a test reads as an operator's file does.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeVar

from tests.outside.programs import Program, find_program, temporary_folder, wait_for
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.outside.authority import Authority

Kind = Literal["nginx", "haproxy", "squid", "tinyproxy"]

USER, PASSWORD = "proxy-user", "proxy p@ss:word"
"""Whom the forward proxies let through; the password has what a URL must escape."""


class Front(Program):
    """A server that stands between a client and an upstream."""

    def __init__(
        self, command: list[str], folder: Path, port: int, *, tls: bool = False, user: str | None = None
    ) -> None:
        super().__init__(command, folder, port, user=user)
        self.url = f"{'https' if tls else 'http'}://{'localhost' if tls else '127.0.0.1'}:{port}"

    def access_log(self) -> list[str]:
        """Return its log, a line a request, without one that is being written."""
        path = self.folder / "access.log"
        return path.read_text("utf-8", "replace").split("\n")[:-1] if path.exists() else []


class Nginx(Front):
    """nginx as a reverse proxy."""

    def reload(self) -> None:
        """Begin anew with new workers, and return once they are there; the old ones end what they have."""
        before = self._reloads()
        self.send(signal.SIGHUP)
        wait_for(lambda: self._reloads() > before, "nginx's reload")

    def _reloads(self) -> int:
        return (self.folder / "error.log").read_text("utf-8", "replace").count("start worker processes")


class HAProxy(Front):
    """HAProxy as a reverse proxy."""

    def reload(self) -> None:
        """Begin anew with a new worker, and return once it is there; the old one ends what it has."""
        before = self.output.count("Loading success")
        ask_again = 0.0

        def reloaded() -> bool:
            nonlocal ask_again
            # A signal that comes while the master begins anew is lost, and nothing tells when it listens again.
            if time.monotonic() > ask_again:
                self.send(signal.SIGUSR2)
                ask_again = time.monotonic() + 0.3
            return self.output.count("Loading success") > before

        wait_for(reloaded, "HAProxy's reload")


@contextmanager
def running_nginx(
    upstream: str, *, server: str = "", http: str = "", location: str = "", tls: Authority | None = None
) -> Generator[Nginx]:
    """Run nginx in front of an address, with further directives for its ``http``, ``server`` and ``location``."""
    with temporary_folder("nginx") as folder:
        port = free_port()
        certificate = tls.server_certificate() if tls else None
        (folder / "nginx.conf").write_text(
            f"""
            {"user root;" if os.geteuid() == 0 else ""}
            daemon off;
            worker_processes 1;
            pid {folder}/pid;
            error_log {folder}/error.log notice;
            events {{ worker_connections 2048; }}
            http {{
                access_log {folder}/access.log;
                client_body_temp_path {folder}/body;
                proxy_temp_path {folder}/proxy;
                fastcgi_temp_path {folder}/fastcgi;
                uwsgi_temp_path {folder}/uwsgi;
                scgi_temp_path {folder}/scgi;
                {http}
                upstream api {{ server {upstream}; keepalive 64; }}
                server {{
                    listen 127.0.0.1:{port} {"ssl" if tls else ""} backlog=1024;
                    {f"ssl_certificate {certificate}; ssl_certificate_key {certificate};" if tls else ""}
                    {server}
                    location / {{
                        proxy_pass http://api;
                        proxy_http_version 1.1;
                        proxy_set_header Connection "";
                        {location}
                    }}
                }}
            }}
            """,
            "utf-8",
        )
        # What it says before it has read where its log is goes to the standard error.
        command = [_required("nginx"), "-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", "stderr"]
        yield from _run(Nginx(command, folder, port, tls=tls is not None))


@contextmanager
def running_haproxy(
    upstream: str, *, frontend: str = "", backend: str = "", defaults: str = "", tls: Authority | None = None
) -> Generator[HAProxy]:
    """Run HAProxy in front of an address, with further lines for its ``defaults``, ``frontend`` and ``backend``."""
    with temporary_folder("haproxy") as folder:
        port = free_port()
        (folder / "haproxy.cfg").write_text(
            "\n".join(
                (
                    "global",
                    "    log stdout format raw local0",
                    "defaults",
                    "    mode http",
                    "    log global",
                    "    option httplog",
                    "    timeout connect 5s",
                    "    timeout client 30s",
                    "    timeout server 30s",
                    *_indented(defaults),
                    "frontend front",
                    f"    bind 127.0.0.1:{port}" + (f" ssl crt {tls.server_certificate()}" if tls else ""),
                    *_indented(frontend),
                    "    default_backend api",
                    "backend api",
                    f"    server upstream {upstream}",
                    *_indented(backend),
                    "",
                )
            ),
            "utf-8",
        )
        command = [_required("haproxy"), "-W", "-db", "-f", f"{folder}/haproxy.cfg"]
        yield from _run(HAProxy(command, folder, port, tls=tls is not None))


@contextmanager
def running_squid(settings: str = "") -> Generator[Front]:
    """Run squid as a forward proxy that lets `USER` through with `PASSWORD`, and nobody else."""
    with temporary_folder("squid") as folder:
        port = free_port()
        helper = folder / "authenticate"
        # Each line is a question: the user and the password, with its blanks escaped.
        known = f"{USER} {PASSWORD.replace(' ', '%20')}"
        helper.write_text(
            f'#!/bin/sh\nwhile read -r line; do [ "$line" = "{known}" ] && echo OK || echo ERR; done\n', "utf-8"
        )
        helper.chmod(0o755)
        (folder / "squid.conf").write_text(
            f"""
http_port 127.0.0.1:{port}
pid_filename {folder}/pid
access_log stdio:{folder}/access.log
cache_log {folder}/cache.log
coredump_dir {folder}
cache deny all
shutdown_lifetime 0 seconds
visible_hostname proxy.example
auth_param basic program {helper}
auth_param basic children 1 startup=1
auth_param basic realm tests
acl known proxy_auth REQUIRED
{settings}
http_access allow known
http_access deny all
""",
            "utf-8",
        )
        user = _harmless_user("proxy")
        if user:
            shutil.chown(folder, user)
        yield from _run(Front([_required("squid"), "-N", "-f", f"{folder}/squid.conf"], folder, port, user=user))


@contextmanager
def running_tinyproxy(settings: str = "") -> Generator[Front]:
    """Run tinyproxy as a forward proxy that asks nobody who he is, unless its settings say so."""
    with temporary_folder("tinyproxy") as folder:
        port = free_port()
        (folder / "tinyproxy.conf").write_text(
            f'Port {port}\nListen 127.0.0.1\nTimeout 30\nLogFile "{folder}/access.log"\n{settings}\n', "utf-8"
        )
        user = _harmless_user("nobody")
        if user:
            shutil.chown(folder, user)
        command = [_required("tinyproxy"), "-d", "-c", f"{folder}/tinyproxy.conf"]
        yield from _run(Front(command, folder, port, user=user))


_FrontT = TypeVar("_FrontT", bound=Front)


def _run(front: _FrontT) -> Generator[_FrontT]:
    front.start()
    try:
        yield front
    finally:
        front.stop()


def _required(name: Kind) -> str:
    found = find_program(name)
    if found is None:
        raise FileNotFoundError(f"no {name} on this machine: `apt-get install {name}`")
    return found


def _indented(lines: str) -> list[str]:
    return [f"    {line.strip()}" for line in lines.splitlines() if line.strip()]


def _harmless_user(name: str) -> str | None:
    """Return whom to run as where we are root; ``None`` for whoever we are."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return name if name in names else "nobody"

#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Barbican's API, without a server before it, on the database that `barbican-manage db upgrade` made.

service.py store FILE: secrets of two projects, and one key that Barbican generates; what must be read goes into FILE.
service.py read FILE: reads it all back.
"""
import base64
import hashlib
import json
import os
import sys

import oslo_config.cfg
from barbican import context, queue
from barbican.api import app
from barbican.api.controllers import versions
from barbican.common import config
from barbican.model import repositories
from webob import Request

config.CONF.set_override("debug", False)
repositories.setup_database_engine_and_factory(initialize_secret_stores=True)
repositories.commit()
service = app.build_wsgi_app(versions.V1Controller(), transactional=True)


def ask(project, method, path, accept="application/json", **body):
    request = Request.blank(path, method=method, environ={"barbican.context": context.RequestContext(project_id=project, roles=["creator"])})
    request.headers["Accept"] = accept
    if body:
        request.content_type = "application/json"
        request.body = json.dumps(body).encode()
    return request.get_response(service)


def payload(project, path):
    answer = ask(project, "GET", path + "/payload", accept="application/octet-stream")
    if answer.status_int != 200:
        print(f"{path}: {answer.status} {answer.text}")
        return None
    return answer.body


def store(name):
    kept = []
    for project in ("first", "second"):
        for size in (1, 32, 5000):
            secret = os.urandom(size)
            answer = ask(project, "POST", "/secrets", payload=base64.b64encode(secret).decode(), payload_content_type="application/octet-stream",
                         payload_content_encoding="base64")
            if answer.status_int != 201:
                print(answer.status, answer.text)
                return 1
            kept.append([project, answer.json["secret_ref"].split("/v1")[-1], hashlib.sha256(secret).hexdigest()])
    with open(name, "w", encoding="ascii") as file:
        json.dump(kept, file)
    print(len(kept), "secrets stored")
    return 0


def read(name):
    with open(name, encoding="ascii") as file:
        kept = json.load(file)
    read_back = [payload(project, path) for project, path, _ in kept]
    good = sum(value is not None and hashlib.sha256(value).hexdigest() == digest for value, (_, _, digest) in zip(read_back, kept))
    print(good, "of", len(kept), "secrets are what they were")
    return 0 if good == len(kept) else 1


if __name__ == "__main__":
    sys.exit({"store": store, "read": read}[sys.argv[1]](sys.argv[2]))

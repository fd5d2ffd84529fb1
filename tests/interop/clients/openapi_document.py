"""openapi-spec-validator: checks the OpenAPI description of each server's endpoints."""

import json
from importlib.metadata import version
from urllib import request as http

from openapi_spec_validator import OpenAPIV31SpecValidator

from servers import PATIENCE, check, each, same


def converse(server):
    with http.urlopen(f"{server['issuer']}/openapi.json", timeout=PATIENCE) as response:
        same("its media type", response.headers["Content-Type"], "application/json")
        text = response.read()
    document = json.loads(text)
    same("its version", document["openapi"], "3.1.0")
    faults = [f"{list(fault.path)}: {fault.message}" for fault in errors(document)]
    same("what is wrong with it", faults, [])
    broken = {**document, "info": {}}
    check("a broken one is refused", list(errors(broken)))
    # The documents differ only in their URLs.
    text = text.replace(server["issuer"].encode(), b"")
    first = documents.setdefault("first", text)
    check("every server says the same of its endpoints", text == first)
    return f"{len(document['paths'])} paths described, without a fault"


def errors(document):
    return OpenAPIV31SpecValidator(document).iter_errors()


documents = {}

each(f"openapi-spec-validator {version('openapi-spec-validator')}", converse)

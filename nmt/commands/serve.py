"""`nmt serve`: an HTTP service that translates."""

from __future__ import annotations

import argparse
from dataclasses import fields

from nmt.commands.options import REPEATED, add_machine_options, positive, whole_number
from nmt.commands.streams import print_lines, say
from nmt.errors import UserError, how_to_install

TEXT = "Serve translations over HTTP: a web page, the API of LibreTranslate, and an API of its own."
EXAMPLE = "nmt serve de-en en-de --port 5000"


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    from nmt.service.limits import HELP, Limits

    add("models", metavar="MODEL", nargs="*", help="models, one for each pair of languages (default: the bundled ones)")
    add("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine)")
    add(
        "--port",
        type=whole_number("port", 0, 65536),
        default=5000,
        help="port to listen on (default: 5000); 0 takes a free one",
    )
    add(
        "--pivot",
        **REPEATED,
        metavar="LANGUAGE",
        help="translate through this language where no model translates directly; can be repeated",
    )
    add("--keys", metavar="FILE", help="answer only requests with a key of this file")
    add("--new-key", metavar="NAME", help="add a key to the file of --keys, print it, and exit")
    add(
        "--origin",
        **REPEATED,
        metavar="URL",
        help="origin (https://example.org) whose pages may use the server; can be repeated",
    )
    add("--no-access-log", action="store_true", help="do not write a line for each request")
    group = parser.add_argument_group("limits")
    for one in fields(Limits):
        name = f"--max-{one.name.replace('_', '-')}"
        group.add_argument(
            name, type=positive, default=one.default, metavar="N", help=f"{HELP[one.name]} (default: {one.default})"
        )
    add_machine_options(parser)


def run(options: argparse.Namespace) -> None:
    from nmt.model_folder import bundled_models
    from nmt.service.keys import Keys, new_key

    if options.new_key:
        if not options.keys:
            raise UserError("--new-key needs the file of keys; give --keys FILE")
        print_lines([new_key(options.keys, options.new_key)])
        return
    try:
        from nmt.service.app import make_app
        from nmt.service.limits import Limits
        from nmt.service.models import Models
        from nmt.service.server import bind, keep_memory_steady, serve
        from nmt.service.service import Service
    except ModuleNotFoundError as error:
        raise UserError(f"nmt serve needs `{error.name}`: {how_to_install('[serve]')}") from None
    keys = Keys(options.keys) if options.keys else None
    listener = bind(options.host, options.port)
    names = options.models or bundled_models()
    keep_memory_steady()
    models = Models.load(names, options.pivot, device=options.device, threads=options.threads)
    limits = Limits(**{one.name: getattr(options, f"max_{one.name}") for one in fields(Limits)})
    app = make_app(Service(models, limits, keys), origins=options.origin, access_log=not options.no_access_log)
    host, number = listener.getsockname()[:2]
    pairs = ", ".join("-".join(pair) for pair in models.translators)
    say(f"nmt serve: {pairs} on http://{f'[{host}]' if ':' in host else host}:{number}/ (Ctrl-C stops)")
    serve(app, listener, limits.seconds)

"""Descriptions of a release that other people's tools read: a Frictionless Data Package and a Croissant 1.0 document.

Pure, and without Django: the engine's process writes them into an archive, the site hands them out beside the
manifest. Both describe the file as it is once opened (age taken off). Nothing in them depends on the moment or on the
number of the release, so that two builds of one recipe describe themselves alike.

    about   name (slug), title, description, version (text), published (day, ISO 8601), creator (who operates the zone),
            url (page), convention, recipe_sha256, ruleset, watermark, sources: [{"title", "sha256", "licence"?}],
            licence: {"title", "version", "sha256", "path", "bytes"}
    files   one a table, in order: {"table", "path" (relative to the description), "format" ("parquet" | "csv"),
            "sha256", "bytes", "rows", "fields": [{"name", "type", "words"?, "decimal"?}], "primary_key": [names],
            "foreign_keys": [{"fields": [names], "table", "to": [names]}], "neutralised"?: {column: cells}}
            `type` is the engine's ("VARCHAR", "BIGINT", "DOUBLE", "DATE", "TIMESTAMP", "BOOLEAN" ...); `words` says
            what was done to the column; `decimal` is the decimal sign of a column of numbers kept as text
    archive {"path", "sha256", "bytes"}: the ZIP whose members the paths are, when the description lies beside it

Sources: specs.frictionlessdata.io (Data Package, Table Schema 1.0); docs.mlcommons.org/croissant (1.0).
"""

import json
import re
from urllib.parse import quote

MEDIA = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv"}
CROISSANT_MEDIA = {"parquet": "application/x-parquet", "csv": "text/csv"}  # the names that Croissant 1.0 knows
ARCHIVE = "application/zip"
PLAIN = "text/plain"

# By what an SQL type begins with: the type of a Table Schema, and Croissant's.
TYPES = (
    ("BOOL", "boolean", "sc:Boolean"),
    ("TIMESTAMP", "datetime", "sc:DateTime"),
    ("DATE", "date", "sc:Date"),
    ("DOUBLE", "number", "sc:Float"),
    ("FLOAT", "number", "sc:Float"),
    ("DECIMAL", "number", "sc:Float"),
    ("BIGINT", "integer", "sc:Integer"),
    ("INTEGER", "integer", "sc:Integer"),
    ("SMALLINT", "integer", "sc:Integer"),
    ("TINYINT", "integer", "sc:Integer"),
    ("UBIGINT", "integer", "sc:Integer"),
    ("UINTEGER", "integer", "sc:Integer"),
    ("HUGEINT", "integer", "sc:Integer"),
)
TEXT = ("string", "sc:Text")

# The official context of Croissant 1.0, as its example datasets have it, but for the language.
CONTEXT = {
    "@language": "fr",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def types_of(sql: str) -> tuple[str, str]:
    """The types of a column in a Table Schema and in Croissant. Text, whatever is not known."""
    return next(((table, croissant) for begins, table, croissant in TYPES if sql.upper().startswith(begins)), TEXT)


def as_bytes(description: dict) -> bytes:
    """The bytes of a description: the same for the same facts."""
    return (json.dumps(description, ensure_ascii=False, indent=1) + "\n").encode()


def names_of(files: list[dict]) -> dict[str, str]:
    """Table -> its name among the resources: the signs the specification allows, each name once."""
    names: dict[str, str] = {}
    for one in files:
        plain = re.sub(r"[^a-z0-9._-]+", "-", one["table"].lower()).strip("-.") or "table"
        name, number = plain, 2
        while name in names.values():
            name, number = f"{plain}-{number}", number + 1
        names[one["table"]] = name
    return names


def with_words(files: list[dict], words: dict[str, dict[str, str]]) -> list[dict]:
    """`files`, each column with what was done to it: `words` by table and column."""
    return [
        {
            **one,
            "fields": [
                {**field, "words": words.get(one["table"], {}).get(field["name"].removeprefix("'"), "")}
                for field in one["fields"]
            ],
        }
        for one in files
    ]


# ------------------------------------------------------------------------------------------------- Data Package


def datapackage(*, about: dict, files: list[dict]) -> dict:
    """`datapackage.json`: one resource a table, with its schema, digest, size, keys, licence and sources."""
    names = names_of(files)
    licence = about["licence"]
    return {
        "profile": "data-package",
        "name": about["name"],
        "title": about["title"],
        **({"description": about["description"]} if about.get("description") else {}),
        "version": about["version"],
        "created": f"{about['published']}T00:00:00Z",
        "homepage": about["url"],
        "contributors": [{"title": about["creator"], "role": "publisher"}],
        "licenses": [{"name": f"terrain-{licence['version']}", "path": licence["path"], "title": licence["title"]}],
        "sources": [_source(one) for one in about["sources"]],
        "terrain": {
            "kind": "experimental",
            "convention": about["convention"],
            "recipe_sha256": about["recipe_sha256"],
            "ruleset": about["ruleset"],
            "watermark": about["watermark"],
            "licence_sha256": licence["sha256"],
        },
        "resources": [_resource(one, names) for one in files],
    }


def _source(one: dict) -> dict:
    told = {"title": one["title"]}
    return told | {f"terrain:{name}": one[name] for name in ("sha256", "licence") if one.get(name)}


def _resource(one: dict, names: dict[str, str]) -> dict:
    resource = {
        "profile": "tabular-data-resource",
        "name": names[one["table"]],
        "title": one["table"],
        "path": one["path"],
        "format": one["format"],
        "mediatype": MEDIA[one["format"]],
        "encoding": "utf-8",
        "hash": f"sha256:{one['sha256']}",
        # The reference reader counts no bytes of Parquet files and then calls every count wrong (frictionless 5.21).
        ("bytes" if one["format"] == "csv" else "terrain:bytes"): one["bytes"],
        "rows": one["rows"],
        "schema": _schema(one, names),
    }
    if one["format"] == "csv":
        resource["dialect"] = {"delimiter": ",", "quoteChar": '"', "doubleQuote": True, "header": True}
    if one.get("neutralised"):
        resource["terrain:neutralised"] = {
            "because": "un tableur prendrait ces cellules pour des formules : une apostrophe les précède",
            "cells": one["neutralised"],
        }
    return resource


def _schema(one: dict, names: dict[str, str]) -> dict:
    schema: dict = {"fields": [_field(field, one["format"]) for field in one["fields"]], "missingValues": [""]}
    if one["primary_key"]:
        schema["primaryKey"] = one["primary_key"]
    if keys := [key for key in one["foreign_keys"] if key["table"] in names]:
        schema["foreignKeys"] = [
            {
                "fields": key["fields"],
                # A table that refers to itself is named by the empty text (Table Schema 1.0).
                "reference": {
                    "resource": "" if key["table"] == one["table"] else names[key["table"]],
                    "fields": key["to"],
                },
            }
            for key in keys
        ]
    return schema


def _field(field: dict, form: str) -> dict:
    kind, _croissant = types_of(field["type"])
    told: dict = {"name": field["name"], "type": kind}
    if kind == "datetime" and form == "csv":
        told["format"] = "any"
    if kind == "number" and field.get("decimal", ".") != ".":
        told["decimalChar"] = field["decimal"]
    if form == "parquet" and kind != "string":
        told["missingValues"] = ["", "nan", "NaT"]  # how readers by way of data frames show a null that is no text
    if field.get("words"):
        told["description"] = field["words"]
    return told


# ---------------------------------------------------------------------------------------------------- Croissant


def croissant(*, about: dict, files: list[dict], archive: dict | None = None) -> dict:
    """`croissant.json`: files with their digests, one set of records a table, its fields and their keys."""
    names = names_of(files)
    licence = about["licence"]
    distribution = [_licence_file(licence)]
    if archive:
        distribution.append(_file("archive", archive["path"], ARCHIVE, archive["bytes"], archive["sha256"]))
    for one in files:
        told = _file(
            f"file/{names[one['table']]}", one["path"], CROISSANT_MEDIA[one["format"]], one["bytes"], one["sha256"]
        )
        if archive:
            told["containedIn"] = {"@id": "archive"}
        distribution.append(told)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": about["title"],
        "description": about.get("description") or about["title"],
        "version": about["version"],
        "datePublished": about["published"],
        "url": about["url"],
        "license": f"{licence['title']}, SHA-256 {licence['sha256']}",
        "citeAs": (
            f"{about['creator']}, « {about['title']} », version {about['version']}, remise d'expérimentation sous la "
            f"convention {about['convention']}, recette {about['recipe_sha256'][:16]}, {about['published'][:4]}."
        ),
        "creator": {"@type": "sc:Organization", "name": about["creator"]},
        "distribution": distribution,
        "recordSet": [_record_set(one, names, {f["table"]: f for f in files}) for one in files],
    }


def _file(number: str, path: str, media: str, size: int, sha256: str) -> dict:
    return {
        "@type": "cr:FileObject",
        "@id": number,
        "name": path.rpartition("/")[2],
        "contentUrl": path,
        "contentSize": f"{size} B",
        "encodingFormat": media,
        "sha256": sha256,
    }


def _licence_file(licence: dict) -> dict:
    return _file("licence", licence["path"], PLAIN, licence["bytes"], licence["sha256"])


def _number(table: str, column: str) -> str:
    """The identifier of a field: a relative IRI, whatever signs the column bears."""
    return f"{table}/{quote(column, safe='')}"


def _record_set(one: dict, names: dict[str, str], tables: dict[str, dict]) -> dict:
    name = names[one["table"]]
    points = {
        key["fields"][0]: _number(names[key["table"]], key["to"][0])
        for key in one["foreign_keys"]
        # The reference reader joins along these: never a table to itself.
        if len(key["fields"]) == 1 and key["table"] in tables and key["table"] != one["table"]
    }
    told: dict = {"@type": "cr:RecordSet", "@id": name, "name": name, "description": one["table"]}
    if one["primary_key"]:
        key = [{"@id": _number(name, column)} for column in one["primary_key"]]
        told["key"] = key[0] if len(key) == 1 else key
    told["field"] = [
        {
            "@type": "cr:Field",
            "@id": _number(name, field["name"]),
            "name": field["name"],
            "description": field.get("words") or field["name"],
            "dataType": types_of(field["type"])[1],
            "source": {"fileObject": {"@id": f"file/{name}"}, "extract": {"column": field["name"]}},
            **({"references": {"field": {"@id": points[field["name"]]}}} if field["name"] in points else {}),
        }
        for field in one["fields"]
    ]
    return told

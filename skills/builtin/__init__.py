"""The skills that ship. Importing them loads descriptors only; libraries load when a skill runs."""

from .html_extract import html_extract
from .http_call import http_call
from .json_transform import json_transform
from .llm_invoke import llm_invoke

BUILTIN = (html_extract, http_call, json_transform, llm_invoke)

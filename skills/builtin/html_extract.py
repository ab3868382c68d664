"""`html_extract`: what a page says, without its markup."""

from __future__ import annotations

from ..contracts import Effects, ResourceContract
from ..skill import SkillContext, skill
from .html_model import HtmlExtractInput, HtmlExtractOutput


@skill(
    version="1.0.0",
    effects=Effects.PURE,
    resources=ResourceContract(cpus=1.0, timeout_s=20.0),
    failure_modes=("ERR_TIMEOUT", "ERR_VALIDATION_FAILED", "ERR_TRANSFORM_FAILED"),
)
async def html_extract(request: HtmlExtractInput, context: SkillContext) -> HtmlExtractOutput:
    """Extract title, metadata, headings, links, tables or readable text from HTML.

    Malformed HTML is read as browsers read it. A selector that is not CSS fails with
    ERR_TRANSFORM_FAILED and `details.reason` = `selector_invalid`.
    """
    from .html_page import extract  # noqa: PLC0415 - selectolax stays out of agent processes

    return extract(request)

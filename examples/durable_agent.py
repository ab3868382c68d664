"""A durable agent in nine lines: kill anything while it waits, it goes on where it was.

aos run --program examples/durable_agent.py:agent "https://example.com https://example.org"
"""


async def agent(ctx, goal):
    pages = await ctx.gather(*(ctx.call("http_call", url=url) for url in goal.split()))
    titles = await ctx.gather(
        *(ctx.call("html_extract", html=page["body"], what=["title"]) for page in pages)
    )
    await ctx.decision(f"Publish {len(titles)} titles?", timeout=86_400)
    await ctx.sleep(1)
    return titles

"""Models behind one protocol: `router.choose` finds the provider, `Provider.generate` asks it.

Retries and failover belong to the run machine, which journals every attempt; a provider asks once
and says what happened in the codes of the taxonomy.
"""

"""Run notebooks headlessly: plan them, run each in a process of its own, keep what is unchanged, show how far it is."""

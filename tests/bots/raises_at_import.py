key = "sk-THE-PROVIDER-KEY"
raise RuntimeError(f"the provider refused\n{key}")

"""The acceptance kit: rehearses Alipay+'s acceptance with any acquirer against the sandbox."""

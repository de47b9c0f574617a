"""What is known about a result afterwards: trust maps and the ledger of structures on one side only. No torch."""

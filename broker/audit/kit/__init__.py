"""What an auditor takes away: the offline verifier, its explanations and the schema of a leaf, as plain files."""

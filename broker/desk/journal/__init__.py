"""The auditor's desk: what to ask the log, who may, how it is told, what is taken away."""

"""What every driver owes the agent, whatever it speaks."""

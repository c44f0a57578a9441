"""What ocpctl can do: one file per noun, each with a table ``COMMANDS`` of its words."""

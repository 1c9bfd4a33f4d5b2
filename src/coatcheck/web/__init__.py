"""What a visitor meets: routes, actions and pages. No framework: every door and the server mount the same ones."""

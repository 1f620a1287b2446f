"""Value functions, one file each; ``mho.value`` says what one is."""

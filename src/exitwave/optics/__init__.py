"""From the X-ray optics to the probe."""

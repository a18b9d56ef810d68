"""How good is it, and what is it?"""

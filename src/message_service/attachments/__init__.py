"""Attachments: the bytes of files that messages refer to, stored once per tenant."""

"""Simulated Twilio, FCM and Stripe on one loopback port; imports nothing else of the project."""

"""Adapters to Twilio, FCM and the operator's paths: one call each, its outcome classified."""

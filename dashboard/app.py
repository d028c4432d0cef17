"""The frame of all pages: title, style and navigation; run by Streamlit for each visit."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard import (
    billing,
    delivery,
    find,
    guides,
    lanes,
    now,
    readiness,
    sign_in,
    theme,
    webhooks,
)
from dashboard.frame import guarded, signing_in

st.set_page_config(
    page_title="Pruuf",
    # A file of ours: named icons are fetched from outside.
    page_icon=str(Path(__file__).with_name("icon.svg")),
    layout="wide",
    initial_sidebar_state="collapsed",
)
theme.apply()
if not sign_in.let_in(signing_in()):
    st.stop()
sign_in.way_out(signing_in())
st.navigation(
    [
        st.Page(guarded(now.page), title="Now", url_path="now", default=True),
        st.Page(guarded(delivery.page), title="Delivery", url_path="delivery"),
        st.Page(guarded(webhooks.page), title="Webhooks", url_path="webhooks"),
        st.Page(guarded(lanes.page), title="Outbox", url_path="outbox"),
        st.Page(guarded(find.page), title="Find", url_path="find"),
        st.Page(guarded(billing.page), title="Billing", url_path="billing"),
        st.Page(guarded(readiness.page), title="Readiness", url_path="readiness"),
        st.Page(guarded(guides.page), title="Runbooks", url_path="runbooks"),
    ],
    position="top",
).run()

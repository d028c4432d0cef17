"""What people are told about billing, by kind and language: the SMS, title and body of the push.

Each says what to do, or that there is nothing to do; none says why a bank refused, which may be
nobody's business, and none says that alerts stop, as they never do.
"""

from __future__ import annotations

from collections.abc import Mapping

# No letter outside the GSM alphabet, such as ó: one more than halves the room of an SMS.
TEXTS: Mapping[str, Mapping[str, tuple[str, str, str]]] = {
    "billing.notice.trial_ending/1": {
        "en": (
            (
                "Pruuf: your free trial ends {time}. To stay a paying contact, add a"
                " card in the app."
                " Ref {ref}"
            ),
            "Your free trial ends soon",
            "It ends {time}. To go on, have a card in the app; without one nothing is charged.",
        ),
        "es": (
            (
                "Pruuf: su prueba gratis termina el {time}. Para seguir, agregue una"
                " tarjeta en la app."
                " Ref {ref}"
            ),
            "Su prueba gratis termina pronto",
            "Termina el {time}. Para seguir, tenga una tarjeta en la app; sin ella nada se cobra.",
        ),
    },
    "billing.notice.payment_failed_card/1": {
        "en": (
            "Pruuf: your card did not work. Please add another one in the app by {time}. Ref {ref}",
            "Your card did not work",
            "Please add another card in the app by {time}. Until then nothing changes.",
        ),
        "es": (
            "Pruuf: su tarjeta no sirve. Agregue otra en la app antes del {time}. Ref {ref}",
            "Su tarjeta no sirve",
            "Agregue otra tarjeta en la app antes del {time}. Hasta entonces nada cambia.",
        ),
    },
    "billing.notice.payment_failed_later/1": {
        "en": (
            (
                "Pruuf: a payment failed. We try again; or use another card in the app by {time}."
                " Ref {ref}"
            ),
            "A payment did not go through",
            "We try again in some days, or use another card in the app. Until {time} all stays.",
        ),
        "es": (
            (
                "Pruuf: un pago no fue posible. Se intenta otra vez, o use otra tarjeta antes del"
                " {time}. Ref {ref}"
            ),
            "Un pago no fue posible",
            "Lo intentamos de nuevo, o use otra tarjeta en la app. Nada cambia antes del {time}.",
        ),
    },
    "billing.notice.payment_failed_bank/1": {
        "en": (
            (
                "Pruuf: your bank refused a payment. Please call your bank, or use another card by"
                " {time}. Ref {ref}"
            ),
            "Your bank refused a payment",
            "Please call your bank, or use another card in the app by {time}.",
        ),
        "es": (
            (
                "Pruuf: su banco no acepta un pago. Llame a su banco o use otra tarjeta antes del"
                " {time}. Ref {ref}"
            ),
            "Su banco no acepta un pago",
            "Llame a su banco, o use otra tarjeta en la app antes del {time}.",
        ),
    },
    "billing.notice.payment_failed_confirm/1": {
        "en": (
            (
                "Pruuf: your bank wants you to confirm a payment. Please do so in the"
                " app by {time}."
                " Ref {ref}"
            ),
            "Please confirm a payment",
            "Your bank wants you to confirm it. Please do so in the app by {time}.",
        ),
        "es": (
            (
                "Pruuf: su banco pide que confirme un pago. Por favor, en la app antes del {time}."
                " Ref {ref}"
            ),
            "Por favor, confirme un pago",
            "Su banco pide que lo confirme. Por favor, en la app antes del {time}.",
        ),
    },
    "billing.notice.access_ending/1": {
        "en": (
            (
                "Pruuf: a payment is still open, your access ends {time}. Please use"
                " another card in"
                " the app. Ref {ref}"
            ),
            "Your access ends soon",
            (
                "A payment is still open: access ends {time}. Please use another card in the app."
                " Alerts still reach you."
            ),
        ),
        "es": (
            (
                "Pruuf: queda un pago, su acceso termina el {time}. Por favor, use"
                " otra tarjeta en la"
                " app. Ref {ref}"
            ),
            "Su acceso termina pronto",
            (
                "Queda un pago: el acceso termina el {time}. Use otra tarjeta en la"
                " app. Las alertas"
                " le llegan igual."
            ),
        ),
    },
    "billing.notice.disputed/1": {
        "en": (
            (
                "Pruuf: your bank says that you dispute a payment. If that is wrong,"
                " please tell your"
                " bank. Ref {ref}"
            ),
            "A payment is disputed",
            "Your bank says that you dispute a payment. If that is wrong, please tell your bank.",
        ),
        "es": (
            (
                "Pruuf: su banco dice que usted reclama un pago. Si no es cierto, avise a su banco."
                " Ref {ref}"
            ),
            "Un pago fue reclamado",
            "Su banco dice que usted reclama un pago. Si no es cierto, avise a su banco.",
        ),
    },
    "billing.notice.refunded/1": {
        "en": (
            "Pruuf: we gave a payment back. Your bank shows it within ten days. Ref {ref}",
            "We gave a payment back",
            "Your bank shows it within ten days. There is nothing to do.",
        ),
        "es": (
            "Pruuf: le devolvimos un pago. Su banco lo muestra en diez dias. Ref {ref}",
            "Le devolvimos un pago",
            "Su banco lo muestra en unos diez dias. No hay nada que hacer.",
        ),
    },
    "billing.notice.resumed/1": {
        "en": (
            "Pruuf: your subscription goes on. There is nothing to do. Ref {ref}",
            "Your subscription goes on",
            "Thank you. There is nothing to do.",
        ),
        "es": (
            "Pruuf: su plan sigue. No hay nada que hacer. Ref {ref}",
            "Su plan sigue",
            "Gracias. No hay nada que hacer.",
        ),
    },
}

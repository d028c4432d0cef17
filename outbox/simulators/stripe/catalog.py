"""Products and prices; one of each is there from the start."""

from __future__ import annotations

from outbox.simulators.stripe import lists
from outbox.simulators.stripe.errors import invalid, required
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import Call, Page, Routes, World

PRICE = "price_simulatedmonthly"
PRODUCT = "prod_simulated"
AMOUNT = 299
_INTERVALS = frozenset({"day", "week", "month", "year"})


def prepare(world: World) -> None:
    """What the account has before anybody asks."""
    if world.store.get("price", PRICE) is not None:
        return
    at = world.clocks.account.now()
    product = {**_product(world, "Pruuf for Contacts", at), "id": PRODUCT, "default_price": PRICE}
    world.keep(product)
    price = _price(world, PRODUCT, at, currency="usd", amount=AMOUNT)
    price |= {"id": PRICE, "recurring": _recurring("month", 1), "type": "recurring"}
    world.keep(price)


def _product(world: World, name: str, at: int) -> Object:
    return world.new(
        "product",
        "prod",
        at,
        {
            "active": True,
            "default_price": None,
            "description": None,
            "images": [],
            "marketing_features": [],
            "metadata": {},
            "name": name,
            "package_dimensions": None,
            "shippable": None,
            "statement_descriptor": None,
            "tax_code": None,
            "type": "service",
            "unit_label": None,
            "updated": at,
            "url": None,
        },
    )


def _recurring(interval: str, count: int) -> Object:
    return {
        "interval": interval,
        "interval_count": count,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def _price(world: World, product: str, at: int, *, currency: str, amount: int) -> Object:
    return world.new(
        "price",
        "price",
        at,
        {
            "active": True,
            "billing_scheme": "per_unit",
            "currency": currency,
            "custom_unit_amount": None,
            "lookup_key": None,
            "metadata": {},
            "nickname": None,
            "product": product,
            "recurring": None,
            "tax_behavior": "unspecified",
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "one_time",
            "unit_amount": amount,
            "unit_amount_decimal": str(amount),
        },
    )


def create_product(world: World, call: Call) -> Object:
    """A product."""
    params = call.params.only("name", "description", "metadata", "active", "id", "url")
    product = _product(world, params.needed("name"), world.clocks.account.now())
    product["id"] = params.text("id") or product["id"]
    product["description"] = params.text("description")
    product["metadata"] = params.metadata({})
    world.keep(product)
    world.emit("product.created", product)
    return product


def create_price(world: World, call: Call) -> Object:
    """A price, of a product that is there or made along with it."""
    params = call.params.only(
        *("active", "currency", "lookup_key", "metadata", "nickname", "product", "product_data"),
        *("recurring", "tax_behavior", "unit_amount", "billing_scheme", "unit_amount_decimal"),
    )
    amount = params.integer("unit_amount", least=0)
    if amount is None:
        raise required("unit_amount")
    at = world.clocks.account.now()
    currency = params.needed("currency").lower()
    product = params.text("product")
    if product is None:
        made = _product(world, params.inner("product_data").needed("name"), at)
        world.keep(made)
        product = made["id"]
    world.need("product", product, param="product")
    price = _price(world, product, at, currency=currency, amount=amount)
    recurring = params.inner("recurring")
    if recurring.values:
        interval = recurring.needed("interval")
        if interval not in _INTERVALS:
            raise invalid("recurring[interval]", f"Invalid recurring[interval]: {interval}")
        count = recurring.integer("interval_count", least=1) or 1
        price |= {"recurring": _recurring(interval, count), "type": "recurring"}
    price |= {
        "lookup_key": params.text("lookup_key"),
        "metadata": params.metadata({}),
        "nickname": params.text("nickname"),
    }
    world.keep(price)
    world.emit("price.created", price)
    return price


def update_price(world: World, call: Call) -> Object:
    """Change what may change; the amount never."""
    params = call.params.only("active", "lookup_key", "metadata", "nickname", "tax_behavior")
    price: Object = world.need("price", call.id)
    with world.changing("price.updated", price):
        price["active"] = params.boolean("active", default=price["active"])
        price["nickname"] = params.text("nickname", price["nickname"])
        price["lookup_key"] = params.text("lookup_key", price["lookup_key"])
        price["metadata"] = params.metadata(price["metadata"])
    return price


def price(world: World, call: Call) -> Object:
    """One price."""
    call.params.only()
    found: Object = world.need("price", call.id)
    return found


def prices(world: World, call: Call) -> Page:
    """A list."""
    return lists.objects(world, call, "price", equal=("product", "currency", "type"))


def product(world: World, call: Call) -> Object:
    """One product."""
    call.params.only()
    found: Object = world.need("product", call.id)
    return found


def products(world: World, call: Call) -> Page:
    """A list."""
    return lists.objects(world, call, "product")


ROUTES: Routes = {
    ("POST", "prices"): create_price,
    ("GET", "prices"): prices,
    ("GET", "prices/*"): price,
    ("POST", "prices/*"): update_price,
    ("POST", "products"): create_product,
    ("GET", "products"): products,
    ("GET", "products/*"): product,
}

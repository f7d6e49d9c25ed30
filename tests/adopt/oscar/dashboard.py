"""Oscar's own dashboard, used as a browser uses it: a form is read, changed and sent."""

from __future__ import annotations

from typing import Any


def staff() -> Any:
    """Return a client that is logged in as somebody who may use the dashboard."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    user = get_user_model().objects.create_superuser("boss", "boss@example.com", "secret")
    client = Client()
    client.force_login(user)
    return client


def saved(client: Any, address: str, changes: dict[str, Any]) -> Any:
    """Send the product form at an address with some fields changed; return the product."""
    from looks.filling import Product

    page = client.get(address)
    assert page.status_code == 200, (page.status_code, page.content[-2000:])
    before = set(Product.objects.values_list("pk", flat=True))
    answer = client.post(address, {**_fields(page.context), **changes, "action": "save"})
    assert answer.status_code == 302, _errors(answer.context)
    made = set(Product.objects.values_list("pk", flat=True)) - before
    pk = made.pop() if made else page.context["product"].pk
    return Product.objects.get(pk=pk)


FORMSETS = ("category_formset", "image_formset", "recommended_formset", "stockrecord_formset")


def _fields(context: Any) -> dict[str, Any]:
    forms = [context["form"]]
    for name in FORMSETS:
        forms += [context[name].management_form, *context[name].forms]
    fields = [field for form in forms for field in form]
    found = {field.html_name: field.value() for field in fields}
    found |= {field.html_initial_name: field.value() for field in fields if field.field.show_hidden_initial}
    return {name: "" if value is None else value for name, value in found.items() if _sent(value)}


def _sent(value: Any) -> bool:
    """Neither a box that is not ticked nor a file that was uploaded before is sent."""
    return value is not False and not hasattr(value, "storage")


def _errors(context: Any) -> Any:
    return [context["form"].errors, *(context[name].errors for name in FORMSETS)]

"""What goes to paper can be read from it again."""

from __future__ import annotations

import io

import pypdf
import pytest

from tests.support import order
from tests.web.test_people import CASHIER, Browser, run
from tillgate.web.print import is_legible, receipt_pdf, sheet_pdf
from tillgate.web.scanner_check import sheet_codes


def text_of(pdf):
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    return "\n".join(page.extract_text() for page in reader.pages)


def test_the_sheet_has_every_code_under_its_picture():
    codes = [(each.digits, each.symbology, each.png) for each in sheet_codes()]
    text = text_of(sheet_pdf(codes))
    for digits, symbology, _ in codes:
        assert digits in text
        assert f"{symbology}, {len(digits)} digits" in text


@pytest.mark.parametrize(
    "name", ["cup Hu", "喫茶 ひまわり", "카카오 카페", "茶馆", "ร้านกาแฟ", "", "x" * 300]
)
def test_a_receipt_has_the_identifiers_whatever_the_shop_is_called(name):
    rows = [("Payment", "pay_01M85V940KBNQW149WK2N9EMER"), ("Order", "A" * 64)]
    text = text_of(receipt_pdf(name, "Ginza", "12 300 JPY", rows))
    assert "pay_01M85V940KBNQW149WK2N9EMER" in text
    assert "12 300 JPY" in text
    assert text.replace("\n", "").count("A" * 38)


def test_what_no_font_has_gives_way_to_the_identifier(tmp_path):
    """A Thai name would be a row of black boxes, and two shops' receipts look alike."""
    thai = "ร้านกาแฟ"
    assert [is_legible(text) for text in ("Café Ü", "喫茶 ひまわり", "카페", "茶馆", thai)] == [
        *(True,) * 4,
        False,
    ]

    async def work(api):
        status, _ = await api.admin("PATCH", "/merchants/M00000000001", {"name": thai})
        assert status == 200
        assert (await api.admin("POST", "/users", CASHIER | {"name": "eve"}))[0] == 201
        browser = Browser(api)
        await browser.signs_in("eve")
        _, payment = await api.post(order(description=thai), wait=10)
        cookie = "; ".join(f"{k}={v}" for k, v in browser.cookies.items())
        url = f"{api.url}/till/receipts/{payment['id']}.pdf"
        async with api.session.get(url, headers={"Cookie": cookie}) as answer:
            return payment["id"], text_of(await answer.read())

    payment_id, text = run(tmp_path, work)
    assert "M00000000001" in text
    assert payment_id in text
    assert "Note" not in text
    assert "\u25a0" not in text


def test_a_receipt_is_for_who_may_see_the_payment(tmp_path):
    async def work(api):
        own, other = Browser(api), Browser(api)
        elsewhere = CASHIER | {"name": "bob", "merchant_id": "M00000000002"}
        assert (await api.admin("POST", "/users", elsewhere))[0] == 201
        await own.signs_in()
        await other.signs_in("bob")
        _, payment = await api.post(order(description="two teas"), wait=10)
        path = f"/till/receipts/{payment['id']}.pdf"
        async with api.session.get(
            api.url + path,
            headers={"Cookie": "; ".join(f"{k}={v}" for k, v in own.cookies.items())},
        ) as answer:
            pdf = await answer.read()
        return (
            payment,
            pdf,
            await other.ask("GET", path),
            await Browser(api).ask("GET", path),
            await own.ask("GET", "/till/receipts/pay_x.pdf"),
        )

    payment, pdf, others, nobodys, missing = run(tmp_path, work)
    text = text_of(pdf)
    for known in (payment["id"], payment["payment_id"], payment["code"], "two teas", "Paid"):
        assert known in text
    assert (others[0], nobodys[0], missing[0]) == (404, 303, 404)

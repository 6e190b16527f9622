"""Hands that have no mouse: Tab, Enter, Space, arrows and letters. A control is found by the name people hear.

`Keys(page, axe)` goes forward with Tab until the control has the focus, checks that the focus can be seen, and fails
after `TABS` stops. Each page that a journey opens passes axe before anything is done on it.
"""

import re

from playwright.sync_api import TimeoutError

TABS = 200  # more than any page has stops


class Keys:
    def __init__(self, page, axe):
        self.page, self.axe = page, axe
        page.set_default_timeout(60_000)  # ms: a build's machine may be busy
        # Windows that choose a file are ours to answer from the first page on. Told only when the key is pressed, a
        # busy browser opened its own a moment before: it stays open, unseen, and no other opens after it.
        page.on("filechooser", lambda window: None)

    # Going somewhere

    def arrived(self, path: str, heading: str = ""):
        """The page whose address ends with `path` (* for anything) is there, and has no barrier."""
        try:
            self.page.wait_for_url(re.compile(re.escape(path).replace(r"\*", ".*") + "$"))
        except TimeoutError:
            said = " · ".join(self.page.locator("main .errorlist, main .callout").all_inner_texts())
            raise AssertionError(f"at {self.page.url} instead of {path}: {said}") from None
        self.page.wait_for_load_state()
        if heading:
            assert self.page.locator("h1").inner_text().startswith(heading), self.page.locator("h1").inner_text()
        self.axe(self.page)
        return self

    def to(self, role: str, name: str, *, within: str = "body", exact: bool = False):
        """Tab until the control has the focus. Returns it."""
        target = self.page.locator(within).get_by_role(role, name=name, exact=exact).first
        target.wait_for(state="attached")
        return self._focus(target.element_handle(), f"{role} « {name} »")

    def _focus(self, element, what: str):
        if not element.evaluate("element => element === document.activeElement"):
            for _ in range(TABS):
                self.page.keyboard.press("Tab")
                if element.evaluate("element => element === document.activeElement"):
                    break
            else:
                raise AssertionError(f"{what} is out of the keyboard's reach on {self.page.url}")
        seen = element.evaluate(
            "element => [element, element.closest('li, article, p')].some(one => one && ['', '::after'].some("
            "part => !['none', ''].includes(getComputedStyle(one, part || null).outlineStyle)))"
        )
        assert seen, f"{what} has the focus and does not show it on {self.page.url}"
        return element

    # Acting

    def follow(self, name: str, path: str, heading: str = "", *, within: str = "body"):
        self.to("link", name, within=within)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")
        return self.arrived(path, heading)

    def press(self, name: str, *, within: str = "main"):
        """Press a button that sends a form: the page after it, even at the same address, is awaited."""
        self.to("button", name, within=within)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")
        return self

    def open(self, name: str):
        """Unfold a part of the page by its words."""
        summary = self.page.locator("main summary", has_text=name).first
        element = self._focus(summary.element_handle(), f"summary « {name} »")
        self.page.keyboard.press("Enter")
        assert element.evaluate("element => element.parentElement.open")
        return self

    def write(self, name: str, text: str, *, within: str = "main"):
        """Type into the field of this label, in place of what is there."""
        field = self.page.locator(within).get_by_label(name).first
        self._focus(field.element_handle(), f"field « {name} »")
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)
        return self

    def day(self, name: str, when, *, within: str = "main"):
        """Type a date part by part, in the order the browser shows."""
        field = self.page.locator(within).get_by_label(name).first
        element = self._focus(field.element_handle(), f"date « {name} »")
        for digits in (f"{when:%d%m%Y}", f"{when:%m%d%Y}"):
            self.page.keyboard.type(digits)
            if element.evaluate("element => element.value") == when.isoformat():
                return self
            self.page.keyboard.press("Shift+Tab")  # back through the parts: the first one again
            self.page.keyboard.press("Shift+Tab")
            self._focus(element, name)
        raise AssertionError(f"« {name} » does not take {when} from the keyboard")

    def tick(self, name: str, *, within: str = "main", exact: bool = False):
        box = self.to("checkbox", name, within=within, exact=exact)
        self.page.keyboard.press("Space")
        assert box.evaluate("element => element.checked")
        return self

    def pick(self, name: str, *, within: str = "main"):
        """A radio button: Tab enters the group, the arrows go through it."""
        radio = self.page.locator(within).get_by_role("radio", name=name).first.element_handle()
        same = "(element, name) => document.activeElement.name === name && document.activeElement.type === 'radio'"
        group = radio.evaluate("element => element.name")
        for _ in range(TABS):
            if radio.evaluate(same, group):
                break
            self.page.keyboard.press("Tab")
        for _ in range(30):
            if radio.evaluate("element => element === document.activeElement"):
                break
            self.page.keyboard.press("ArrowDown")
        if not radio.evaluate("element => element.checked"):
            self.page.keyboard.press("Space")
        assert radio.evaluate("element => element.checked"), f"« {name} » cannot be picked on {self.page.url}"
        return self

    def select(self, name: str, option: str, *, within: str = "main"):
        """The option of a list whose words begin so, by the arrows."""
        field = self.page.locator(within).get_by_label(name).first
        element = self._focus(field.element_handle(), f"list « {name} »")
        chosen = "element => element.options[element.selectedIndex]?.text.trim() ?? ''"
        self.page.keyboard.press("Home")
        for _ in range(60):
            if re.match(re.escape(option), element.evaluate(chosen)):
                return self
            self.page.keyboard.press("ArrowDown")
        raise AssertionError(f"« {name} » has no option « {option} » on {self.page.url}")

    def attach(self, name: str, path):
        """The field opens the machine's own window, where keys are out of the page's hands."""
        field = self.page.locator("main").get_by_label(name).first
        self._focus(field.element_handle(), f"file « {name} »")
        with self.page.expect_file_chooser(timeout=60_000) as opened:
            self.page.keyboard.press("Enter")
        opened.value.set_files(path)
        return self

    # Coming in

    def sign_in(self, user):
        """Password and second factor, then the desk."""
        from tests.functional.conftest import PASSWORD, code, enrol

        secret = getattr(user, "totp_secret", None) or enrol(user)
        user.totp_secret = secret
        self.page.goto("/")
        self.follow("Se connecter", "/compte/login/")
        self.write("Adresse électronique", user.email).write("Mot de passe", PASSWORD).press("Continuer")
        self.arrived("/compte/2fa/authenticate/*")
        self.write("Code", code(secret)).press("Entrer")
        return self.arrived("/bureau/", "Mon bureau")

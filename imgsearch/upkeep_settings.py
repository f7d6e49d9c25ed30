"""What can be set of the upkeep that workers do by themselves."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from imgsearch.page_settings import PageSettings


class UpkeepSettings(PageSettings):
    """The settings of upkeep; part of `Settings`."""

    tuning: Literal["auto", "off"] = Field(
        "auto",
        description="`auto`: idle workers choose the search's parameters by measuring, after 5,000 images and when "
        "they changed much, with a quarter of a core; `off`: only `imgsearch index tune` does",
    )

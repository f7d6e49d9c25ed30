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
    tenant_graphs: Literal["auto", "off"] = Field(
        "auto",
        description="`auto`: idle workers give tenants of 30,000 images and more, with 7 to 40 % of all, an HNSW of "
        "their own (one core while it is built), and drop it when they are so large no longer; `off`: only "
        "`imgsearch index tenant` does",
    )

"""What people type: a search with filters, and a new product."""

from __future__ import annotations

from django import forms

from shop.models import Product


class SearchForm(forms.Form):
    q = forms.CharField(required=False, max_length=200, label="Words")
    photo = forms.ImageField(required=False)
    like = forms.ModelChoiceField(Product.objects.all(), required=False, widget=forms.HiddenInput)
    category = forms.CharField(required=False)
    max_price = forms.DecimalField(required=False, min_value=0)
    in_stock = forms.BooleanField(required=False)


class ProductForm(forms.ModelForm):
    class Meta:
        model = Product
        fields = ("title", "category", "price", "in_stock", "photo")

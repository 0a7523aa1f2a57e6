from django.conf import settings
from django.shortcuts import render


def hello(request):
    return render(request, "hello/hello.html", {"plugin": settings.PLUGIN})

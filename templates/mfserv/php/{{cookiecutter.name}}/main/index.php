<?php
require __DIR__ . '/../lib/hello.php';
?>
<!DOCTYPE html>
<html lang="en">
<head>
    <meta charset="utf-8">
    <title>{{cookiecutter.name}}</title>
</head>
<body>
    <h1><?= htmlspecialchars(hello()) ?></h1>
</body>
</html>

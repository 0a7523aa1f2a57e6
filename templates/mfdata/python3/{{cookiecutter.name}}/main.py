#!/usr/bin/env python3

from acquisition import AcquisitionStep


class {{ "_" if cookiecutter.name[0] in "0123456789" else "" }}{{ cookiecutter.name.title().replace("-", "").replace("_", "") }}MainStep(AcquisitionStep):
    step_name = "main"

    def process(self, xaf):
        self.info("process for file %s", xaf.filepath)
        return True


if __name__ == "__main__":
    {{ "_" if cookiecutter.name[0] in "0123456789" else "" }}{{ cookiecutter.name.title().replace("-", "").replace("_", "") }}MainStep().run()

// Runs before the first paint: what only a script can do is there from the start, so that nothing jumps later.
"use strict";
document.documentElement.classList.add("js-on");

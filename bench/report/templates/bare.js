"use strict";
// A page without charts: nothing is trained yet.

offerThemes();
offerCopies();

"use strict";
// A page without charts, because nothing has been trained yet.

offerThemes();
offerCopies();

// The font of formulas is asked for before the first line is drawn: so no line moves when it comes.
document.fonts.load("1em Formulas");

# Makes the calls that `runner` writes below this head: one line of JSON for each, in the file named on the command line.
out <- file(commandArgs(trailingOnly = TRUE)[1], "w")

number <- function(v) ifelse(is.nan(v) | is.na(v), "NaN", ifelse(is.infinite(v), ifelse(v > 0, "Infinity", "-Infinity"),
                             formatC(v, digits = 17, format = "g")))

emit <- function(key, call, x, y, onehot) {
  line <- tryCatch(
    sprintf('"value": [%s]', paste(number(as.numeric(eval(parse(text = call), list(x = x, y = y, onehot = onehot), globalenv()))),
                                   collapse = ", ")),
    error = function(e) sprintf('"raises": "%s", "message": %s', class(e)[1],
                                encodeString(substr(conditionMessage(e), 1, 200), quote = '"'))
  )
  writeLines(sprintf('{"key": %s, %s}', encodeString(key, quote = '"'), line), out)
  flush(out)
}

versions <- function(package) {
  writeLines(sprintf('{"key": "versions", "value": {"%s": "%s"}}', package, packageVersion(package)), out)
}


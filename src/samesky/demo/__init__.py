"""What `samesky demo` needs: a year of weather in a WeeWX database, two stations, a broker and a comparison."""

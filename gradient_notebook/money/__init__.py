"""Money: what models cost, and costs that add up. Knows no disk but the file of prices, and no session."""
